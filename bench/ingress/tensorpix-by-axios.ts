import axios from 'axios';
import { Agent } from 'node:http';
import { VIDEO_INPUT_FIELDS, type CreateJobDto } from '../../src/modules/jobs/create-job.dto.js';

/** What the two comparison servers read of TensorPix's answer. */
export interface TensorpixJob {
  id: number;
  cost: string;
}

const http = axios.create({
  baseURL: process.env.TENSORPIX_BASE_URL ?? '',
  httpAgent: new Agent({ keepAlive: true }),
  headers: { authorization: `Token ${process.env.TENSORPIX_TOKEN}` },
});

/** The gateway's own fields are not TensorPix's. */
export function tensorpixFields(body: CreateJobDto): Record<string, unknown> {
  const given = VIDEO_INPUT_FIELDS.filter((name) => body[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, body[name]]));
}

/** Calls TensorPix as one writes it with axios. */
export async function createJobAtTensorpix(input: Record<string, unknown>): Promise<TensorpixJob> {
  const { data } = await http.post<TensorpixJob>('/api/jobs/from-url/', input);
  return data;
}
