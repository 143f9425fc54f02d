/** Shows progress events: a moving bar for a person, one line per finished stage for files and pipes. */
import type { ProgressEvent, Stage } from '../pipeline/progress.ts';
import { formatDuration, type TextOutput } from './terminal.ts';

const TITLES: Readonly<Record<Stage, string>> = {
  condition: 'Reading the picture',
  structure: 'Structure',
  occupancy: 'Voxels',
  latent: 'Details',
  gaussians: 'Gaussians',
  mesh: 'Mesh',
  radianceField: 'Radiance field',
};

const TITLE_WIDTH = 20;
const BAR_WIDTH = 24;
// Clears the line from the cursor to its end, so that a shorter text leaves nothing behind.
const CLEAR = '\r\u001B[K';

/** A finished stage with its time. */
export interface StageTime {
  readonly stage: string;
  readonly milliseconds: number;
}

/** Listens to the events of one run. */
export class ProgressDisplay {
  readonly #out: TextOutput | undefined;
  readonly #now: () => number;
  readonly #times: StageTime[] = [];
  #started = 0;
  #drawn = false;

  /** @param out nothing is shown without it; times are taken all the same. */
  constructor(out: TextOutput | undefined, now: () => number = () => performance.now()) {
    this.#out = out;
    this.#now = now;
  }

  /** Time of every finished stage, in order. */
  get times(): readonly StageTime[] {
    return this.#times;
  }

  readonly update = (event: ProgressEvent): void => {
    if (event.step === 0) this.#started = this.#now();
    const elapsed = this.#now() - this.#started;
    if (event.step < event.steps) {
      this.#draw(event, elapsed);
      return;
    }
    this.#times.push({ stage: event.stage, milliseconds: elapsed });
    const steps = event.steps > 1 ? `${event.steps} steps, ` : '';
    this.#line(`${TITLES[event.stage].padEnd(TITLE_WIDTH)} ${steps}${formatDuration(elapsed)}`);
  };

  /** Runs a step that has no events of its own. */
  async measure<T>(title: string, body: () => Promise<T>): Promise<T> {
    const started = this.#now();
    const result = await body();
    const elapsed = this.#now() - started;
    this.#times.push({ stage: title.toLowerCase(), milliseconds: elapsed });
    this.#line(`${title.padEnd(TITLE_WIDTH)} ${formatDuration(elapsed)}`);
    return result;
  }

  /** Removes a bar that is still shown. */
  clear(): void {
    if (this.#drawn) this.#out?.write(CLEAR);
    this.#drawn = false;
  }

  #line(text: string): void {
    this.clear();
    this.#out?.write(`${text}\n`);
  }

  #draw(event: ProgressEvent, elapsed: number): void {
    const columns = this.#out?.columns;
    if (columns === undefined) return;
    const filled = Math.round(event.fraction * BAR_WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    const left =
      event.step > 0 ? formatDuration((elapsed / event.step) * (event.steps - event.step)) : '';
    const rest = left === '' ? '' : `  ${left} left`;
    const text = `${TITLES[event.stage].padEnd(TITLE_WIDTH)} ${bar} ${event.step}/${event.steps}${rest}`;
    this.#out?.write(CLEAR + text.slice(0, Math.max(0, columns - 1)));
    this.#drawn = true;
  }
}
