import { SetMetadata } from '@nestjs/common';

/** Metadata key under which a route says who may call it. */
export const ACCESS = 'access';

/** A route without a key: health, metrics, documentation. */
export const Public = () => SetMetadata(ACCESS, 'public');
