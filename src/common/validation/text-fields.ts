import type { FieldErrors } from '../errors/problem.js';
import type { FieldDefinition } from './fields.js';
import { FORBIDDEN_NAMES, hasForbiddenName, parseJson } from './json.js';

/** A form as it was sent: every name with its values in order. */
export class FormFields {
  constructor(readonly values: ReadonlyMap<string, string[]>) {}
}

/** Strict spellings. What does not match stays a string, and the field's own check then names the mistake. */
const INTEGER = /^-?(0|[1-9]\d{0,15})$/;
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
/** `True` and `False` are how Python's form encoding writes booleans. */
const BOOLEANS: Record<string, boolean> = { true: true, false: false, True: true, False: false };

/**
 * Turns the text of a form or a query string into the types of its declared fields (contract, section 4). Unknown
 * names are left in, so that they are refused by name.
 */
export function readTextFields(
  form: FormFields,
  fields: ReadonlyMap<string, FieldDefinition>,
): { values: Record<string, unknown>; errors: FieldErrors } {
  const values: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  const errors: FieldErrors = Object.create(null) as FieldErrors;
  for (const [name, texts] of form.values) {
    const definition = fields.get(name);
    const repeats = definition?.form === 'strings' || definition?.form === 'integers';
    if (!definition) values[name] = texts;
    else if (repeats) values[name] = texts.map((text) => (definition.form === 'integers' ? integerOrText(text) : text));
    else if (texts.length > 1) errors[name] = ['must be given once'];
    else if (isJson(definition) && hasForbiddenName(texts[0] ?? '')) errors[name] = [FORBIDDEN_NAMES];
    else values[name] = single(texts[0] ?? '', definition);
  }
  return { values, errors };
}

function single(text: string, { form, nullable }: FieldDefinition): unknown {
  if (nullable && text === '') return null;
  switch (form) {
    case 'integer':
      return integerOrText(text);
    case 'number':
      return NUMBER.test(text) ? Number(text) : text;
    case 'boolean':
      return Object.hasOwn(BOOLEANS, text) ? BOOLEANS[text] : text;
    case 'json':
    case 'object':
      return jsonOrText(text);
    default:
      return text;
  }
}

function isJson({ form }: FieldDefinition): boolean {
  return form === 'json' || form === 'object';
}

function integerOrText(text: string): number | string {
  return INTEGER.test(text) ? Number(text) : text;
}

function jsonOrText(text: string): unknown {
  const value = parseJson(text);
  return value === undefined ? text : value;
}
