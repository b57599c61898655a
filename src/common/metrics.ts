import { Injectable } from '@nestjs/common';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Everything that `GET /metrics` shows, in one place. Labels never hold a tenant's data or a URL. */
@Injectable()
export class Metrics {
  readonly registry = new Registry();

  readonly requests = this.histogram('gateway_http_request_duration_seconds', 'Requests answered', [
    'method',
    'route',
    'status',
  ]);
  readonly upstreamCalls = this.histogram('gateway_tensorpix_call_duration_seconds', 'Calls to TensorPix', [
    'operation',
    'outcome',
  ]);
  readonly deliveryAttempts = this.counter(
    'gateway_webhook_attempts_total',
    'Webhook attempts: `delivered`, or the class of the error as in the attempt log',
    ['outcome'],
  );
  readonly givenUp = this.counter(
    'gateway_webhooks_given_up_total',
    'Webhooks that are not tried any more, but for tests',
    ['reason'],
  );
  readonly endpointsDisabled = this.counter(
    'gateway_webhook_endpoints_disabled_total',
    'Standing endpoints that were disabled, because they answered 410 or failed for days',
    ['reason'],
  );
  readonly transitions = this.counter('gateway_job_transitions_total', 'States entered', ['kind', 'status']);
  readonly observations = this.counter('gateway_observations_total', 'Jobs that TensorPix showed as they are', []);
  readonly ignoredObservations = this.counter(
    'gateway_ignored_observations_total',
    'Observations of TensorPix that changed nothing because they were late, backward or unknown',
    ['reason'],
  );
  readonly upstreamDuplicates = this.counter(
    'gateway_upstream_duplicates_total',
    'Second TensorPix jobs for one row, both charged',
    [],
  );
  readonly lostLeases = this.counter('gateway_lost_leases_total', 'Writes refused because the claim was gone', [
    'loop',
  ]);
  readonly loopErrors = this.counter('gateway_loop_errors_total', 'Ticks that threw', ['loop']);
  readonly verdicts = this.counter('gateway_reconcile_verdicts_total', 'What became of jobs of unknown outcome', [
    'verdict',
  ]);
  readonly leftToPerson = this.counter(
    'gateway_jobs_left_to_a_person_total',
    'Jobs of unknown outcome that no look settles any more',
    [],
  );
  readonly logLinesDropped = this.counter(
    'gateway_log_lines_dropped_total',
    'Log lines lost because nobody reads standard output',
    [],
  );
  readonly eventStreamsEnded = this.counter('gateway_event_streams_ended_total', 'Event streams that have ended', [
    'reason',
  ]);
  readonly longestDue = new Gauge({
    name: 'gateway_webhooks_longest_due_seconds',
    help: 'For how long the oldest webhook that waits for its turn has been due, as a worker saw it last',
    registers: [this.registry],
  });
  readonly eventStreams = new Gauge({
    name: 'gateway_event_streams',
    help: 'Event streams that are open',
    registers: [this.registry],
  });
  readonly circuitOpen = new Gauge({
    name: 'gateway_tensorpix_circuit_open',
    help: '1 while nothing is sent to TensorPix because it does not serve',
    registers: [this.registry],
  });
  readonly tokenCircuitsOpen = new Gauge({
    name: 'gateway_tensorpix_token_circuits_open',
    help: 'Tokens with which nothing is sent to TensorPix now, because it does not serve them',
    registers: [this.registry],
  });
  readonly draining = new Gauge({
    name: 'gateway_draining',
    help: '1 while shutting down',
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
    this.beginAtZero();
  }

  /** What alerts are made of: a counter that appears with its first event shows no increase then. */
  private beginAtZero(): void {
    for (const reason of ['retries_used_up', 'gone', 'tenant_deleted', 'endpoint_deleted'])
      this.givenUp.inc({ reason }, 0);
    for (const reason of ['gone', 'failing']) this.endpointsDisabled.inc({ reason }, 0);
    for (const loop of ['submission', 'poller', 'reconciler', 'dispatcher']) this.lostLeases.inc({ loop }, 0);
    this.loopErrors.inc({ loop: 'job_watch' }, 0);
    this.ignoredObservations.inc({ reason: 'unknown_status' }, 0);
    for (const kind of ['video', 'image']) this.transitions.inc({ kind, status: 'unconfirmed' }, 0);
  }

  private counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  private histogram<L extends string>(name: string, help: string, labelNames: L[]): Histogram<L> {
    const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60];
    return new Histogram({ name, help, labelNames, buckets, registers: [this.registry] });
  }
}
