import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { bodyProblems, ProblemResource } from './common/http/api-problems.js';
import { ImageSnapshotResource } from './modules/images/image.resource.dto.js';
import { JobSnapshotResource } from './modules/jobs/job.resource.dto.js';
import { EndpointSnapshotResource } from './modules/webhooks/webhook-endpoints.dto.js';
import {
  ENDPOINT_DISABLED_TYPE,
  IMAGE_WEBHOOK_TYPES,
  JOB_WEBHOOK_TYPES,
  TEST_WEBHOOK_TYPE,
} from './modules/webhooks/webhook-types.js';

const DESCRIPTION = `A gateway between internal systems and TensorPix: it records every job before TensorPix hears of it,
follows it, and calls back with signed webhooks.

Errors are \`application/problem+json\` with a stable \`code\`. Ids are UUIDs, times RFC 3339 in UTC, amounts decimal
strings of Credits.`;

const REQUEST_ID = {
  description: 'Of the request, where it has a sane one, else made: it is in the log, too.',
  schema: { type: 'string' as const },
};

/** The service's own description, generated from the controllers and DTOs, with its webhooks (OpenAPI 3.1). */
function openApiDocument(app: NestFastifyApplication): OpenAPIObject {
  const options = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('tensorpix-gateway')
    .setVersion('1')
    .setDescription(DESCRIPTION)
    .setLicense('MIT', 'https://opensource.org/license/mit')
    .addBearerAuth(
      {
        type: 'http',
        scheme: 'bearer',
        bearerFormat: 'opaque',
        description: 'A tenant key, `tpg_…`. `Authorization: Token <key>` means the same.',
      },
      'tenant',
    )
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'opaque', description: 'The admin key.' }, 'admin')
    .build();
  const document = SwaggerModule.createDocument(app, options, {
    extraModels: [ProblemResource, JobSnapshotResource, ImageSnapshotResource, EndpointSnapshotResource],
    operationIdFactory: (controller, method) => `${controller.replace('Controller', '').toLowerCase()}_${method}`,
  });
  const types = [
    ...JOB_WEBHOOK_TYPES.map((type) => webhook(type, 'JobSnapshotResource')),
    ...IMAGE_WEBHOOK_TYPES.map((type) => webhook(type, 'ImageSnapshotResource')),
    ...[TEST_WEBHOOK_TYPE, ENDPOINT_DISABLED_TYPE].map((type) => webhook(type, 'EndpointSnapshotResource')),
  ];
  closeRequestBodies(document);
  completeResponses(document);
  return toJsonSchema2020({ ...document, webhooks: Object.fromEntries(types) }) as OpenAPIObject;
}

/** Unknown fields are errors, and the document says so. */
function closeRequestBodies(document: OpenAPIObject): void {
  for (const [name, schema] of Object.entries(document.components?.schemas ?? {})) {
    if (name.endsWith('Dto')) Object.assign(schema, { additionalProperties: false });
  }
}

/** What every route answers with beside what its controller says. */
function completeResponses(document: OpenAPIObject): void {
  const operations = Object.values(document.paths).flatMap(({ get, post, put, patch, delete: remove }) => [
    { operation: get, mayHaveBody: false },
    ...[post, put, patch, remove].map((operation) => ({ operation, mayHaveBody: true })),
  ]);
  for (const { operation, mayHaveBody } of operations) {
    if (!operation) continue;
    // A body is read before anybody knows that its fields are none of the route's.
    if (mayHaveBody) Object.assign(operation.responses, bodyProblems());
    for (const response of Object.values(operation.responses)) {
      if (response && !('$ref' in response)) response.headers = { ...response.headers, 'X-Request-Id': REQUEST_ID };
    }
  }
}

/**
 * `/openapi.json` and a page to read it and try it. The document is made when it is first asked for: it takes some 0.2 s of
 * CPU, and most processes are never asked.
 */
export function serveDocs(app: NestFastifyApplication): void {
  SwaggerModule.setup('docs', app, () => openApiDocument(app), {
    jsonDocumentUrl: 'openapi.json',
    yamlDocumentUrl: 'openapi.yaml',
    customSiteTitle: 'tensorpix-gateway',
  });
}

function webhook(type: string, resource: string): [string, object] {
  const data = { $ref: `#/components/schemas/${resource}` };
  const schema = {
    type: 'object',
    required: ['type', 'timestamp', 'data'],
    properties: { type: { type: 'string', enum: [type] }, timestamp: { type: 'string', format: 'date-time' }, data },
  };
  const parameters = [
    header('webhook-id', 'The same at every attempt of this webhook.'),
    header('webhook-timestamp', 'Unix seconds of this attempt.'),
    header(
      'webhook-signature',
      '`v1,<base64>` of HMAC-SHA256 over `id.timestamp.body`; several, separated by spaces, while a secret is being rotated.',
    ),
  ];
  const responses = { '2XX': { description: 'Taken. Anything else, redirects included, is tried again.' } };
  const operationId = `webhook_${type.replace('.', '_')}`;
  const post = {
    tags: ['webhooks'],
    operationId,
    summary: type,
    security: [],
    parameters,
    requestBody: { required: true, content: { 'application/json': { schema } } },
    responses,
  };
  return [type, { post }];
}

function header(name: string, description: string): object {
  return { name, in: 'header', required: true, description, schema: { type: 'string' } };
}

/** OpenAPI 3.1 has no `nullable`: its schemas are JSON Schema 2020-12, where null is a type. */
function toJsonSchema2020(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(toJsonSchema2020);
  if (typeof node !== 'object' || node === null) return node;
  const { nullable, ...rest } = Object.fromEntries(
    Object.entries(node).map(([key, value]) => [key, toJsonSchema2020(value)]),
  );
  if (nullable !== true) return rest;
  if (typeof rest.type === 'string') {
    return {
      ...rest,
      type: [rest.type, 'null'],
      ...(Array.isArray(rest.enum) && { enum: [...(rest.enum as unknown[]), null] }),
    };
  }
  const { description, example, ...schema } = rest as { description?: unknown; example?: unknown };
  const [only] = 'allOf' in schema && Array.isArray(schema.allOf) ? (schema.allOf as unknown[]) : [schema];
  return {
    anyOf: [only, { type: 'null' }],
    ...(description !== undefined && { description }),
    ...(example !== undefined && { example }),
  };
}
