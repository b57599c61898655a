import { ApiProperty } from '@nestjs/swagger';
import {
  ArrayMaxSize,
  ArrayMinSize,
  ArrayUnique,
  IsArray,
  IsBoolean,
  IsDefined,
  IsIn,
  IsInt,
  IsNumber,
  IsOptional,
  IsString,
  Max,
  Min,
  ValidateBy,
  ValidateIf,
} from 'class-validator';
import { countCharacters, isStorableText } from './text.js';

/** How a field is written in a form or a query string, where everything is text. */
export type TextForm = 'string' | 'integer' | 'number' | 'boolean' | 'strings' | 'integers' | 'json' | 'object';

export interface FieldDefinition {
  form: TextForm;
  nullable: boolean;
  /** The class of a nested object. */
  nested?: new () => object;
}

export interface FieldOptions {
  description: string;
  required?: boolean;
  nullable?: boolean;
  example?: unknown;
}

type Described = FieldOptions & { min?: number; max?: number };

const definitions = new WeakMap<object, Map<string, FieldDefinition>>();
/** With what is inherited. Asked for once a request, and only after the class has all its decorators. */
const complete = new WeakMap<object, ReadonlyMap<string, FieldDefinition>>();

/** The declared fields of a DTO class, by name: what is not here is unknown. Inherited fields included. */
export function fieldsOf(dto: new () => object): ReadonlyMap<string, FieldDefinition> {
  const known = complete.get(dto);
  if (known) return known;
  const inherited = Object.getPrototypeOf(dto) as new () => object;
  const own = definitions.get(dto) ?? new Map<string, FieldDefinition>();
  const fields = inherited.prototype ? new Map([...fieldsOf(inherited), ...own]) : own;
  complete.set(dto, fields);
  return fields;
}

/** One declaration a field: its checks (in order, the first that fails speaks), its text form, its documentation. */
function field(
  form: TextForm,
  options: FieldOptions,
  checks: PropertyDecorator[],
  schema: object,
  nested?: new () => object,
) {
  return (target: object, key: string | symbol): void => {
    const dto = target.constructor;
    const fields = definitions.get(dto) ?? new Map<string, FieldDefinition>();
    fields.set(String(key), { form, nullable: options.nullable ?? false, ...(nested && { nested }) });
    definitions.set(dto, fields);
    if (options.nullable) IsOptional()(target, key);
    else if (options.required) IsDefined({ message: 'is required' })(target, key);
    else ValidateIf((_, value) => value !== undefined)(target, key);
    for (const check of checks) check(target, key);
    ApiProperty({
      description: options.description,
      required: options.required ?? false,
      ...(options.nullable && { nullable: true }),
      ...(options.example !== undefined && { example: options.example }),
      ...schema,
    })(target, key);
  };
}

/** Postgres stores neither NUL nor lone surrogates, and no TensorPix field needs them. */
const wellFormed = ValidateBy({
  name: 'wellFormed',
  validator: {
    validate: (value: unknown) => typeof value !== 'string' || isStorableText(value),
    defaultMessage: () => 'must not contain NUL characters or lone surrogates',
  },
});

function checkLength(text: string, min: number, max: number): string | null {
  const length = countCharacters(text);
  if (length < min) return min === 1 ? 'must not be empty' : `must have at least ${min} characters`;
  return length > max ? `must have at most ${max} characters` : null;
}

/** A string of so many characters. */
export function StringField(
  options: FieldOptions & { minLength?: number; maxLength: number; format?: string },
): PropertyDecorator {
  const { minLength = 0, maxLength, format } = options;
  const checks = [
    IsString({ message: 'must be a string' }),
    checkedBy((value) => checkLength(value as string, minLength, maxLength)),
    wellFormed,
  ];
  return field('string', options, checks, {
    type: 'string',
    maxLength,
    ...(minLength && { minLength }),
    ...(format && { format }),
  });
}

/** A string that a function judges: it returns what is wrong, or null. */
export function CheckedStringField(
  options: FieldOptions & { minLength?: number; maxLength: number; format?: string },
  check: (value: string) => string | null,
): PropertyDecorator {
  return combine(
    StringField(options),
    checkedBy((value) => (typeof value === 'string' ? check(value) : null)),
  );
}

/** One of these values. */
export function EnumField(values: readonly (string | number)[], options: FieldOptions): PropertyDecorator {
  const numeric = values.every((value) => typeof value === 'number');
  const message = `must be one of ${values.map((value) => (value === '' ? '""' : value)).join(', ')}`;
  return field(numeric ? 'integer' : 'string', options, [IsIn(values, { message })], {
    type: numeric ? 'integer' : 'string',
    enum: [...values],
  });
}

/** A whole number within these bounds. */
export function IntegerField(options: Described & { min: number; max: number }): PropertyDecorator {
  const { min, max } = options;
  const checks = [IsInt({ message: 'must be a whole number' }), ...range(min, max)];
  return field('integer', options, checks, { type: 'integer', minimum: min, maximum: max });
}

/** A number within these bounds. */
export function NumberField(options: Described & { min: number; max: number }): PropertyDecorator {
  const { min, max } = options;
  const checks = [
    IsNumber({ allowNaN: false, allowInfinity: false }, { message: 'must be a number' }),
    ...range(min, max),
  ];
  return field('number', options, checks, { type: 'number', format: 'double', minimum: min, maximum: max });
}

/** `true` or `false`. */
export function BooleanField(options: FieldOptions): PropertyDecorator {
  return field('boolean', options, [IsBoolean({ message: 'must be true or false' })], { type: 'boolean' });
}

export interface ListOptions extends FieldOptions {
  minItems?: number;
  maxItems: number;
}

/** A list of whole numbers of 32 bits. */
export function IntegersField(options: ListOptions): PropertyDecorator {
  const each = IsInt({ each: true, message: 'must hold whole numbers only' });
  const safe = [-(2 ** 31), 2 ** 31 - 1] as const;
  const bounds = [
    Min(safe[0], { each: true, message: 'holds a number that is too small' }),
    Max(safe[1], { each: true, message: 'holds a number that is too large' }),
  ];
  return field('integers', options, [...list(options), each, ...bounds], listSchema({ type: 'integer' }, options));
}

/** A list of some of these values. */
export function EnumListField(values: readonly string[], options: ListOptions): PropertyDecorator {
  const each = IsIn(values, { each: true, message: `must hold only ${values.join(', ')}` });
  return field(
    'strings',
    options,
    [...list(options), each],
    listSchema({ type: 'string', enum: [...values] }, options),
  );
}

/** A list of strings that a function judges one by one. */
export function CheckedListField(options: ListOptions, check: (value: string) => string | null): PropertyDecorator {
  const each = checkedBy((value) => {
    const wrong = (value as unknown[]).map((item) =>
      typeof item === 'string' ? check(item) : 'must hold strings only',
    );
    return wrong.find((reason) => reason !== null) ?? null;
  });
  return field('strings', options, [...list(options), each], listSchema({ type: 'string' }, options));
}

/** Any JSON value that a function judges; a JSON text in a form. */
export function CheckedJsonField(
  options: FieldOptions,
  schema: object,
  check: (value: unknown) => string | null,
): PropertyDecorator {
  return field('json', options, [checkedBy(check)], schema);
}

/** An object with declared fields of its own. */
export function ObjectField(dto: new () => object, options: FieldOptions): PropertyDecorator {
  const isObject = checkedBy((value) => (value instanceof dto ? null : 'must be an object'));
  return field('object', options, [isObject], { type: () => dto }, dto);
}

/** An additional rule on a field, such as one that looks at another field of the same object. */
export function checkedBy(check: (value: unknown, object: object) => string | null): PropertyDecorator {
  return ValidateBy({
    name: `checked${(checkedCount += 1)}`,
    validator: {
      validate: (value, args) => check(value, args?.object ?? {}) === null,
      defaultMessage: (args) => check(args?.value, args?.object ?? {}) ?? 'is invalid',
    },
  });
}

let checkedCount = 0;

function combine(...decorators: PropertyDecorator[]): PropertyDecorator {
  return (target, key) => decorators.forEach((decorate) => decorate(target, key));
}

function range(min: number, max: number): PropertyDecorator[] {
  return [
    Min(min, { message: 'must not be less than $constraint1' }),
    Max(max, { message: 'must not be greater than $constraint1' }),
  ];
}

function list({ minItems = 0, maxItems }: ListOptions): PropertyDecorator[] {
  return [
    IsArray({ message: 'must be a list' }),
    ArrayMinSize(minItems, { message: minItems === 1 ? 'must not be empty' : 'must have at least $constraint1 items' }),
    ArrayMaxSize(maxItems, { message: 'must have at most $constraint1 items' }),
    ArrayUnique({ message: 'must not repeat an item' }),
  ];
}

function listSchema(items: object, { minItems, maxItems }: ListOptions): object {
  return { type: 'array', items, uniqueItems: true, maxItems, ...(minItems !== undefined && { minItems }) };
}
