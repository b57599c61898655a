/**
 * A module of the built program, as an operator runs it: what is compiled while it is loaded lacks the metadata of
 * decorators.
 *
 * @param file below `dist/`
 */
export function loadBuilt<Module>(file: string): Promise<Module> {
  return import(`../../dist/${file}`) as Promise<Module>;
}
