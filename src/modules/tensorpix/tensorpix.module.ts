import { Module } from '@nestjs/common';
import { TensorpixClient } from './tensorpix.client.js';

@Module({ providers: [TensorpixClient], exports: [TensorpixClient] })
export class TensorpixModule {}
