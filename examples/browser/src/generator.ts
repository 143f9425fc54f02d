/** The page's side of the worker: one run at a time, watched through callbacks. */
import type { Job, Reply, Request, Result } from './messages.ts';

/** What a run tells while it lasts. */
export type RunEvent = Extract<Reply, { kind: 'loading' | 'running' | 'progress' }>;

/** Starts and stops runs. */
export class Generator {
  readonly #worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  #running = false;

  /**
   * Runs a job.
   *
   * @returns `undefined` when it was cancelled.
   * @throws Error with the message of what went wrong.
   */
  async run(job: Job, onEvent: (event: RunEvent) => void): Promise<Result | undefined> {
    if (this.#running) throw new Error('A picture is being worked on already.');
    this.#running = true;
    const listening = new AbortController();
    const { signal } = listening;
    try {
      return await new Promise<Result | undefined>((resolve, reject) => {
        const onMessage = ({ data }: MessageEvent<Reply>): void => {
          if (data.kind === 'done') resolve(data.result);
          else if (data.kind === 'cancelled') resolve(undefined);
          else if (data.kind === 'failed') reject(new Error(data.message));
          else onEvent(data);
        };
        const onError = ({ message }: ErrorEvent): void => reject(new Error(message));
        this.#worker.addEventListener('message', onMessage, { signal });
        this.#worker.addEventListener('error', onError, { signal });
        this.#send({ kind: 'run', job });
      });
    } finally {
      listening.abort();
      this.#running = false;
    }
  }

  /** Ends the run after its current step. */
  cancel(): void {
    this.#send({ kind: 'cancel' });
  }

  #send(request: Request): void {
    this.#worker.postMessage(request, []);
  }
}
