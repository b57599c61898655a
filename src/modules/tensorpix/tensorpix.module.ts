import { Module } from '@nestjs/common';
import { SharedCircuit } from './shared-circuit.js';
import { TensorpixClient } from './tensorpix.client.js';
import { UpstreamHostsStore } from './upstream-hosts.store.js';

/** TensorPix over HTTP, and the only place that knows its wire format. */
@Module({ providers: [UpstreamHostsStore, SharedCircuit, TensorpixClient], exports: [TensorpixClient] })
export class TensorpixModule {}
