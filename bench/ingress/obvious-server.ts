/**
 * (c) The obvious stack: Nest on Express, the gateway's DTO in Nest's ValidationPipe, Prisma `create`, axios, Prisma
 * `update`. Environment: PORT, TENSORPIX_BASE_URL, TENSORPIX_TOKEN, DATABASE_URL (see databases.ts).
 *
 * Decorator metadata is not emitted here (esbuild), so the pipe and the injection are told their classes.
 */
import 'reflect-metadata';
import { Body, Controller, Inject, Injectable, Module, Post, ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { PrismaPg } from '@prisma/adapter-pg';
import { randomUUID } from 'node:crypto';
import { PrismaClient, type Prisma } from '../../src/generated/prisma/client.js';
import { CreateJobDto } from '../../src/modules/jobs/create-job.dto.js';
import { createJobAtTensorpix, tensorpixFields } from './tensorpix-by-axios.js';

/** Its table has no foreign keys; any id does. */
const TENANT_ID = randomUUID();
const ACCOUNT_ID = randomUUID();

/** As many columns as a table for this purpose would have; the model has more, and reading those would cost. */
const COLUMNS = {
  id: true,
  status: true,
  tensorpixId: true,
  input: true,
  externalId: true,
  metadata: true,
  createdAt: true,
  submittedAt: true,
  updatedAt: true,
} as const;

type JobAnswer = Record<string, unknown>;

@Injectable()
class JobsService {
  private readonly prisma = new PrismaClient({
    adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL ?? '' }),
  });

  async create(body: CreateJobDto): Promise<JobAnswer> {
    const input = tensorpixFields(body);
    const recorded = await this.prisma.job.create({
      data: {
        id: randomUUID(),
        tenantId: TENANT_ID,
        accountId: ACCOUNT_ID,
        kind: 'video',
        status: 'submitting',
        input: input as Prisma.InputJsonObject,
        externalId: body.external_id ?? null,
        metadata: body.metadata ?? {},
      },
      select: COLUMNS,
    });
    const created = await createJobAtTensorpix(input);
    const job = await this.prisma.job.update({
      where: { id: recorded.id },
      data: { status: 'queued', tensorpixId: created.id, submittedAt: new Date(), updatedAt: new Date() },
      select: COLUMNS,
    });
    return { ...job, tensorpixId: Number(job.tensorpixId) };
  }
}

const validation = new ValidationPipe({
  expectedType: CreateJobDto,
  whitelist: true,
  forbidNonWhitelisted: true,
  transform: true,
});

@Controller('v1/jobs')
class ObviousController {
  constructor(@Inject(JobsService) private readonly jobs: JobsService) {}

  @Post()
  create(@Body(validation) body: CreateJobDto): Promise<JobAnswer> {
    return this.jobs.create(body);
  }
}

@Module({ controllers: [ObviousController], providers: [JobsService] })
class ObviousModule {}

const app = await NestFactory.create(ObviousModule, new ExpressAdapter(), { logger: ['error', 'warn'] });
app.enableShutdownHooks();
await app.listen(Number(process.env.PORT), '127.0.0.1');
