/**
 * (b) The bare proxy: Nest on Fastify, the gateway's DTO in Nest's ValidationPipe, axios with a keep-alive agent. It
 * records nothing. Environment: PORT, TENSORPIX_BASE_URL, TENSORPIX_TOKEN.
 *
 * Decorator metadata is not emitted here (esbuild), so the pipe is told its class.
 */
import 'reflect-metadata';
import { Body, Controller, Module, Post, ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { CreateJobDto } from '../../src/modules/jobs/create-job.dto.js';
import { createJobAtTensorpix, tensorpixFields, type TensorpixJob } from './tensorpix-by-axios.js';

const validation = new ValidationPipe({
  expectedType: CreateJobDto,
  whitelist: true,
  forbidNonWhitelisted: true,
  transform: true,
});

@Controller('v1/jobs')
class ProxyController {
  @Post()
  create(@Body(validation) body: CreateJobDto): Promise<TensorpixJob> {
    return createJobAtTensorpix(tensorpixFields(body));
  }
}

@Module({ controllers: [ProxyController] })
class ProxyModule {}

const app = await NestFactory.create<NestFastifyApplication>(ProxyModule, new FastifyAdapter(), {
  logger: ['error', 'warn'],
});
app.enableShutdownHooks();
await app.listen(Number(process.env.PORT), '127.0.0.1');
