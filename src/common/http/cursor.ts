import { Injectable } from '@nestjs/common';
import { Keyring } from '../crypto/keyring.js';
import { Problem } from '../errors/problem.js';

/** Where a newest-first page ended: the sort keys of its last row. */
export interface PagePosition {
  createdAt: Date;
  id: string;
}

/** A list answer: `{"data":[…],"next_cursor":…}` (contract, section 4). */
export interface Page<T> {
  data: T[];
  next_cursor: string | null;
}

/** Opaque, authenticated cursors. One that was tampered with, or belongs to another list, is a 400. */
@Injectable()
export class Cursors {
  constructor(private readonly keyring: Keyring) {}

  /** A cursor for any position that has a text. */
  seal(list: string, position: string): string {
    return `${Buffer.from(position).toString('base64url')}.${this.keyring.mac(`${list}:${position}`)}`;
  }

  /** @throws Problem `validation_failed` on `cursor` */
  open(list: string, cursor: string | undefined): string | undefined {
    if (cursor === undefined) return undefined;
    const [payload = '', mac = '', ...rest] = cursor.split('.');
    const position = Buffer.from(payload, 'base64url').toString();
    // Decoding is lenient: only the one canonical spelling counts.
    const canonical = rest.length === 0 && Buffer.from(position).toString('base64url') === payload;
    if (!canonical || !this.keyring.verifyMac(`${list}:${position}`, mac)) {
      throw Problem.invalid({ cursor: ['is not a cursor of this list'] });
    }
    return position;
  }

  /** @throws Problem `validation_failed` on `cursor` */
  decode(list: string, cursor: string | undefined): PagePosition | undefined {
    const [time, id] = this.open(list, cursor)?.split('/') ?? [];
    return time === undefined || id === undefined ? undefined : { createdAt: new Date(Number(time)), id };
  }

  /** Cuts a newest-first page from rows that were read with one row more than asked for. */
  page<Row extends PagePosition, T>(list: string, rows: Row[], limit: number, map: (row: Row) => T): Page<T> {
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    const next = rows.length > limit && last ? this.seal(list, `${last.createdAt.getTime()}/${last.id}`) : null;
    return { data: shown.map(map), next_cursor: next };
  }
}
