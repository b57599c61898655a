import { type PipeTransform } from '@nestjs/common';
import { validateSync } from 'class-validator';
import { Problem, type FieldErrors } from '../errors/problem.js';
import { redactText } from '../logging/redact.js';
import { fieldsOf } from './fields.js';
import { passesQuickly } from './quick-check.js';
import { FormFields, readTextFields } from './text-fields.js';

const MAX_SHOWN_NAME = 100;
/** Of the fields that we do not know, so many are named. */
const MAX_UNKNOWN = 50;

type Dto<T extends object> = new () => T;

/**
 * Validates a body (a JSON object or a form) into an instance of its DTO class: unknown fields are errors, every
 * field that is wrong is named. One pass over flat classes, nothing is converted but the text of forms.
 *
 * @throws Problem `validation_failed`
 */
export class BodyPipe<T extends object> implements PipeTransform<unknown, T> {
  constructor(private readonly dto: Dto<T>) {}

  transform(body: unknown): T {
    if (body instanceof FormFields) return fromText(this.dto, body);
    // A request without a body is an empty object: the required fields are then what is missing.
    const source = body ?? {};
    if (!isPlainObject(source)) throw Problem.invalid({}, ['The body must be a JSON object.']);
    return validated(this.dto, source, {});
  }
}

/** The same for a query string, where repeated names make a list. */
export class QueryPipe<T extends object> implements PipeTransform<unknown, T> {
  constructor(private readonly dto: Dto<T>) {}

  transform(query: unknown): T {
    const entries = Object.entries((query ?? {}) as Record<string, string | string[]>);
    return fromText(this.dto, new FormFields(new Map(entries.map(([name, value]) => [name, [value].flat()]))));
  }
}

function fromText<T extends object>(dto: Dto<T>, form: FormFields): T {
  const { values, errors } = readTextFields(form, fieldsOf(dto));
  return validated(dto, values, errors);
}

function validated<T extends object>(dto: Dto<T>, source: Record<string, unknown>, errors: FieldErrors): T {
  const instance = instantiate(dto, source, errors, '');
  if (Object.keys(errors).length > 0) throw Problem.invalid(errors);
  return instance;
}

/** Builds the instance from declared fields only, collects what is wrong under the field's dotted name. */
function instantiate<T extends object>(
  dto: Dto<T>,
  source: Record<string, unknown>,
  errors: FieldErrors,
  prefix: string,
): T {
  const fields = fieldsOf(dto);
  const instance = new dto();
  const values = instance as Record<string, unknown>;
  let unknown = 0;
  for (const [name, value] of Object.entries(source)) {
    const definition = fields.get(name);
    if (!definition) {
      unknown += 1;
      if (unknown <= MAX_UNKNOWN) errors[prefix + shownName(name)] = ['is not a known field'];
    } else if (definition.nested && isPlainObject(value)) {
      values[name] = instantiate(definition.nested, value, errors, `${prefix}${name}.`);
    } else values[name] = value;
  }
  if (passesQuickly(dto, instance)) return instance;
  for (const { property, constraints } of validateSync(instance, {
    stopAtFirstError: true,
    forbidUnknownValues: false,
  })) {
    errors[prefix + property] ??= Object.values(constraints ?? { invalid: 'is invalid' });
  }
  return instance;
}

/** A name that we do not know may be anything, even a body in the wrong place: bounded, and without secrets. */
function shownName(name: string): string {
  return Array.from(redactText(name.slice(0, 4 * MAX_SHOWN_NAME)))
    .slice(0, MAX_SHOWN_NAME)
    .join('');
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
