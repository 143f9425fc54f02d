/**
 * The page: a picture goes in, a mesh and splats come out.
 *
 * Query parameters: `model` names the URL of another model set; `device`, `steps` and `seed` fill the form.
 */
import { Generator, type RunEvent } from './generator.ts';
import { DEVICES, type DeviceChoice, type Job, type Result } from './messages.ts';
import { ObjectView } from './object-view.ts';
import { PictureInput } from './picture-input.ts';
import { StageBars } from './stage-bars.ts';

const DEVICE_LABELS: Readonly<Record<DeviceChoice, string>> = {
  auto: 'Automatic',
  webgpu: 'WebGPU',
  cpu: 'CPU',
};

/** What `data-state` of the page says; tests and styles look at it. */
type PageState = 'idle' | 'running' | 'done' | 'failed';

function find<E extends Element>(selector: string, type: new () => E): E {
  const element = document.querySelector(selector);
  if (element instanceof type) return element;
  throw new Error(`${selector}: the page has no such ${type.name}.`);
}

const form = find('#options', HTMLFormElement);
const start = find('#start', HTMLButtonElement);
const cancel = find('#cancel', HTMLButtonElement);
const status = find('#status', HTMLElement);
const bars = new StageBars(find('#stages', HTMLElement));
const generator = new Generator();
const query = new URLSearchParams(location.search);

function setState(state: PageState, text: string): void {
  document.body.dataset['state'] = state;
  status.textContent = text;
  cancel.hidden = state !== 'running';
  start.disabled = state === 'running' || input.picture === undefined;
}

function field(name: string): HTMLInputElement | HTMLSelectElement {
  return form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement;
}

function readJob(picture: Blob): Job {
  const steps = field('steps').value;
  return {
    picture,
    model: new URL(query.get('model') ?? 'models/tiny', location.href).href,
    device: field('device').value as DeviceChoice,
    seed: Number(field('seed').value),
    steps: steps === '' ? undefined : Number(steps),
    keepBackground: (field('keepBackground') as HTMLInputElement).checked,
  };
}

function offerDownload(view: string, name: string, bytes: Uint8Array<ArrayBuffer>): void {
  const link = find(`${view} a`, HTMLAnchorElement);
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' }));
  link.download = name;
  link.hidden = false;
}

async function openViews(): Promise<readonly [ObjectView, ObjectView]> {
  const mesh = await ObjectView.open(find('#mesh canvas', HTMLCanvasElement));
  const splats = await ObjectView.open(find('#splats canvas', HTMLCanvasElement));
  mesh.follow(splats);
  splats.follow(mesh);
  return [mesh, splats];
}

// Opened at once but waited for late: a run does not need them before its end.
const views = openViews();

/** Draws a result. @returns why it cannot be drawn; its files can be had all the same. */
async function show({ glb, ply }: Result): Promise<string> {
  offerDownload('#mesh', 'object.glb', glb);
  offerDownload('#splats', 'object.ply', ply);
  try {
    const [mesh, splats] = await views;
    await Promise.all([mesh.showMesh(glb.buffer), splats.showSplats(ply.buffer)]);
    return '';
  } catch (error) {
    return ` This browser cannot draw them: ${messageOf(error)}`;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function onEvent(event: RunEvent): void {
  if (event.kind === 'loading') status.textContent = 'Loading the model …';
  else if (event.kind === 'running') status.textContent = `Running on ${event.device}.`;
  else bars.show(event.stage, event.step, event.steps);
}

async function run(picture: Blob): Promise<void> {
  bars.reset();
  setState('running', 'Reading the picture …');
  try {
    const result = await generator.run(readJob(picture), onEvent);
    if (result === undefined) return setState('idle', 'Cancelled.');
    const problem = await show(result);
    const { vertices, faces, gaussians, seconds } = result;
    const counts = [vertices, faces, gaussians].map((count) => count.toLocaleString('en'));
    setState(
      'done',
      `${counts[0]} vertices, ${counts[1]} faces and ${counts[2]} splats in ${seconds.toFixed(1)} s.${problem}`,
    );
  } catch (error) {
    setState('failed', messageOf(error));
  }
}

const input = new PictureInput(
  {
    drop: find('#drop', HTMLElement),
    file: find('#file', HTMLInputElement),
    preview: find('#picture', HTMLImageElement),
    hint: find('#hint', HTMLElement),
    examples: find('#examples', HTMLElement),
  },
  () => (start.disabled = document.body.dataset['state'] === 'running'),
);

for (const device of DEVICES) field('device').append(new Option(DEVICE_LABELS[device], device));
for (const name of ['device', 'steps', 'seed']) {
  const value = query.get(name);
  if (value !== null) field(name).value = value;
}
form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (input.picture !== undefined) void run(input.picture);
});
cancel.addEventListener('click', () => generator.cancel());
// Told when there is something to draw.
views.catch(() => {});
void input.offerExamples('examples');
if (!crossOriginIsolated) {
  status.textContent =
    'This page is not cross-origin isolated, so the CPU computes with one thread.';
}
