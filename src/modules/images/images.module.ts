import { Module } from '@nestjs/common';
import { JobsModule } from '../jobs/jobs.module.js';
import { ImagesController } from './images.controller.js';

/** The routes of images (contract, section 5); their rows and calls are those of jobs. */
@Module({ imports: [JobsModule], controllers: [ImagesController] })
export class ImagesModule {}
