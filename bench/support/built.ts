/**
 * A module of the program as the compiler has written it: what is compiled while it is loaded lacks the metadata of
 * decorators.
 *
 * @param file below `build/`
 */
export function loadBuilt<Module>(file: string): Promise<Module> {
  return import(`../../build/${file}`) as Promise<Module>;
}
