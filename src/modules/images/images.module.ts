import { Module } from '@nestjs/common';
import { JobsModule } from '../jobs/jobs.module.js';
import { ImagesController } from './images.controller.js';

@Module({ imports: [JobsModule], controllers: [ImagesController] })
export class ImagesModule {}
