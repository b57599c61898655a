import { Injectable, type LoggerService } from '@nestjs/common';
import { pino, type DestinationStream, type Logger as Pino } from 'pino';
import { openLogOutput } from './log-output.js';
import { redact, redactText } from './redact.js';

type Fields = Record<string, unknown>;

/** Structured logs, one JSON line each, on standard output. Everything passes `redact` first, but for `infoAsIs`. */
@Injectable()
export class Logger {
  private readonly pino: Pino;
  private dropped: () => void = () => undefined;

  constructor(level: string, destination?: DestinationStream) {
    const options = {
      level,
      base: { service: 'tensorpix-gateway' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }) },
      // Our redaction has already seen the error; pino's serializer would expect an instance.
      serializers: { err: (value: unknown) => value },
    };
    this.pino = pino(options, destination ?? openLogOutput(() => this.dropped()));
  }

  /** Sets who is told of each line that could not be written. */
  onDrop(listener: () => void): void {
    this.dropped = listener;
  }

  debug(fields: Fields, message: string): void {
    if (this.pino.isLevelEnabled('debug')) this.pino.debug(redact(fields), redactText(message));
  }

  info(fields: Fields, message: string): void {
    if (this.pino.isLevelEnabled('info')) this.pino.info(redact(fields), redactText(message));
  }

  /** For fields that hold no text of anybody else's, where it counts: redaction costs twice as much as the line. */
  infoAsIs(fields: Fields, message: string): void {
    this.pino.info(fields, message);
  }

  warn(fields: Fields, message: string): void {
    this.pino.warn(redact(fields), redactText(message));
  }

  error(fields: Fields, message: string): void {
    this.pino.error(redact(fields), redactText(message));
  }

  /** Nest's own messages: start-up chatter at debug, trouble as it is. */
  forNest(): LoggerService {
    const text = (message: unknown) => (typeof message === 'string' ? message : JSON.stringify(redact(message)));
    return {
      log: (message: unknown, ...rest: unknown[]) => this.debug({ context: rest.at(-1) }, text(message)),
      warn: (message: unknown, ...rest: unknown[]) => this.warn({ context: rest.at(-1) }, text(message)),
      error: (message: unknown, ...rest: unknown[]) => {
        const context = rest.at(-1);
        // That nobody can listen: it is thrown, too, and whoever starts the program says why.
        if (context === 'NestApplication') this.debug({ context }, text(message));
        else this.error({ context, err: message }, text(message));
      },
    };
  }
}
