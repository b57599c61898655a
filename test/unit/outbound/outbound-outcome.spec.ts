import { describe, expect, it } from '@jest/globals';
import { connectFailure, requestFailure } from '../../../src/common/outbound/outbound-outcome.js';

function errorWith(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

describe('the message of a failure', () => {
  it.each([299, 300])(
    'should be text that Postgres can store where a certificate names what it likes (%d)',
    (length) => {
      const message = `${'\0'.padEnd(length, 'x')}😀`;
      const failure = connectFailure(errorWith('ERR_TLS_CERT_ALTNAME_INVALID', message), 'tls');
      expect(failure.message).toContain(`: \ufffd${'x'.repeat(298)}`);
      expect(failure.message).not.toMatch(/\0|\p{Surrogate}/u);
    },
  );

  it('should be so where a header cannot be sent', () => {
    const failure = requestFailure(errorWith('UND_ERR_INVALID_ARG', 'invalid \ud83d\0 header'));
    expect(failure).toMatchObject({
      errorClass: 'http',
      message: 'the request is not valid HTTP: invalid \ufffd\ufffd header',
    });
  });
});
