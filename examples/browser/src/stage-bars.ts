/** A progress bar for each stage of a run. */
import type { Stage } from '@pergola/trellis';

/** What the stages are called on the page, in the order in which they happen. */
const LABELS: readonly (readonly [Stage, string])[] = [
  ['condition', 'Picture'],
  ['structure', 'Structure'],
  ['occupancy', 'Voxels'],
  ['latent', 'Details'],
  ['gaussians', 'Splats'],
  ['mesh', 'Mesh'],
];

interface Bar {
  readonly progress: HTMLProgressElement;
  readonly output: HTMLOutputElement;
}

/** The bars in a list element. */
export class StageBars {
  readonly #bars: ReadonlyMap<Stage, Bar>;

  constructor(list: HTMLElement) {
    this.#bars = new Map(
      LABELS.map(([stage, label]) => {
        const item = document.createElement('li');
        const progress = document.createElement('progress');
        const output = document.createElement('output');
        const name = document.createElement('span');
        name.textContent = label;
        progress.setAttribute('aria-label', label);
        item.append(name, progress, output);
        list.append(item);
        return [stage, { progress, output }] as const;
      }),
    );
    this.reset();
  }

  reset(): void {
    for (const { progress, output } of this.#bars.values()) {
      progress.value = 0;
      output.value = '';
    }
  }

  /** @param step steps done, of `steps`. */
  show(stage: Stage, step: number, steps: number): void {
    const bar = this.#bars.get(stage);
    if (bar === undefined) return;
    bar.progress.value = step / steps;
    bar.output.value = steps > 1 ? `${step}/${steps}` : step === steps ? 'done' : '…';
  }
}
