import { getMetadataStorage, ValidationTypes, type ValidationArguments } from 'class-validator';

type Metadata = ReturnType<ReturnType<typeof getMetadataStorage>['getTargetValidationMetadatas']>[number];
type Check = (value: unknown, object: object) => boolean;

interface Property {
  name: string;
  /** The checks below count only where all of these say so. */
  conditions: Check[];
  checks: Check[];
}

const compiled = new WeakMap<object, (instance: object) => boolean>();

/**
 * True when an instance passes every check of its class. False means "ask validateSync", which also says what is wrong.
 *
 * The checks are class-validator's own. `validateSync` looks the decorators up, groups them and makes an error for each
 * property at every call, which costs several times what the checks cost; here that is done once a class.
 */
export function passesQuickly(dto: new () => object, instance: object): boolean {
  let check = compiled.get(dto);
  if (!check) compiled.set(dto, (check = compile(dto)));
  return check(instance);
}

function compile(dto: new () => object): (instance: object) => boolean {
  const storage = getMetadataStorage();
  const byName = storage.groupByPropertyName(storage.getTargetValidationMetadatas(dto, '', false, false));
  const properties = Object.entries(byName).map(([name, metadatas]) => propertyOf(dto, name, metadatas));
  return (instance) =>
    properties.every(({ name, conditions, checks }) => {
      const value: unknown = Reflect.get(instance, name);
      return conditions.some((applies) => !applies(value, instance)) || checks.every((check) => check(value, instance));
    });
}

function propertyOf(dto: new () => object, name: string, metadatas: Metadata[]): Property {
  const property: Property = { name, conditions: [], checks: [] };
  for (const metadata of metadatas) {
    const { type, validateIf, constraints } = metadata;
    if (type === ValidationTypes.CONDITIONAL_VALIDATION) {
      const [applies] = constraints as [(object: object, value: unknown) => boolean];
      property.conditions.push((value, object) => applies(object, value));
    } else if ((type === ValidationTypes.CUSTOM_VALIDATION || type === ValidationTypes.IS_DEFINED) && !validateIf) {
      property.checks.push(...checksOf(dto, metadata));
    } else property.checks.push(leftToValidateSync);
  }
  return property;
}

function checksOf(dto: new () => object, { propertyName, constraintCls, constraints, each }: Metadata): Check[] {
  return getMetadataStorage()
    .getTargetValidatorConstraints(constraintCls)
    .map(({ instance: constraint }) => {
      const passes = (value: unknown, args: ValidationArguments) => constraint.validate(value, args) === true;
      return (value: unknown, object: object) => {
        const args = { targetName: dto.name, property: propertyName, object, value, constraints };
        return each && Array.isArray(value) ? value.every((item) => passes(item, args)) : passes(value, args);
      };
    });
}

/** For kinds of decorators that `fields.ts` does not use. */
function leftToValidateSync(): boolean {
  return false;
}
