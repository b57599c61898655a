import { hash } from 'node:crypto';
import { parseUrl } from '../../../common/validation/url.js';

/**
 * What TensorPix's list shows of every video job that was made from a URL: the URL and the set of models. Two requests that
 * agree in it cannot be told apart there, whatever else they ask for.
 */
export interface Observable {
  /** normalised */
  url: string;
  /** ascending, each once */
  modelIds: number[];
}

/** What TensorPix shows of a request. */
export function observableOf(input: Record<string, unknown>): Observable {
  const { video_url: url, ml_models: models } = input;
  return {
    url: normalizeUrl(typeof url === 'string' ? url : ''),
    modelIds: modelSet(Array.isArray(models) ? models : []),
  };
}

/** SHA-256 in hex: the key under which equal requests of an account wait for each other. */
export function observableKey(input: Record<string, unknown>): string {
  const { url, modelIds } = observableOf(input);
  return hash('sha256', `${modelIds.join(',')}\n${url}`, 'hex');
}

/** In order and each once: TensorPix may show them in another order. */
export function modelSet(models: unknown[]): number[] {
  return [...new Set(models.map(Number))].sort((a, b) => a - b);
}

/**
 * Spellings of one URL become one: case of scheme and host, default port, fragment, and escapes that may be written plainly. What
 * would mean something else when it is not escaped stays escaped.
 */
export function normalizeUrl(text: string): string {
  const url = parseUrl(text);
  if (!url) return text;
  url.hash = '';
  return url.href.replace(/%[0-9a-f]{2}/gi, (escape) => {
    const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
    return /[\w.~!$'()*,:@|^`{}[\]-]/.test(character) ? character : escape.toUpperCase();
  });
}
