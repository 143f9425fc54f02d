/** What each piece of work takes elsewhere and what it shall take here: milliseconds on one NVIDIA H200, half precision. */

/** Figures of one piece of work; absent where nobody measured. */
export interface Figures {
  /** The reference implementation, PyTorch eager. */
  readonly eager?: number;
  /** The fastest of the libraries that are made for it. */
  readonly peer?: number;
  /** What the backend must not exceed. */
  readonly must?: number;
  /** What the backend aims at. */
  readonly aim?: number;
}

/** Name of a piece of work. */
export type FigureName =
  | 'matmul 4096 x 1024 x 4096'
  | 'matmul 8192^3'
  | 'structure flow'
  | 'latent flow'
  | 'attention h64'
  | 'attention h80'
  | 'subm conv 128'
  | 'subm conv 1024'
  | 'subm conv 192'
  | 'subm conv 96'
  | 'kernel map'
  | 'mesh decoder'
  | 'Gaussian decoder'
  | 'occupancy decoder'
  | 'image to all outputs'
  | 'image to all outputs, budget';

/** Measured with PyTorch 2.11 eager, and with the fastest of torch.compile, cuDNN and FlexGEMM. */
const ELSEWHERE: Partial<Record<FigureName, Figures>> = {
  'structure flow': { eager: 28.4, peer: 12.8 },
  'latent flow': { eager: 49.3, peer: 43.2 },
  'attention h64': { eager: 0.273, peer: 0.167 },
  'attention h80': { eager: 0.387, peer: 0.222 },
  'subm conv 128': { peer: 0.152 },
  'subm conv 1024': { peer: 2.76 },
  'subm conv 192': { peer: 1.01 },
  'subm conv 96': { peer: 3.03 },
  'kernel map': { peer: 1.36 },
  'mesh decoder': { peer: 53.1 },
  'Gaussian decoder': { eager: 16 },
  'occupancy decoder': { eager: 6.4 },
  'image to all outputs': { eager: 3600 },
};

/** Bounds by backend. */
const BOUNDS: Readonly<Record<string, Partial<Record<FigureName, Figures>>>> = {
  cuda: {
    'structure flow': { must: 12.8, aim: 9 },
    'latent flow': { must: 20, aim: 13 },
    'attention h64': { must: 0.19, aim: 0.14 },
    'attention h80': { must: 0.26, aim: 0.19 },
    'subm conv 128': { must: 0.152, aim: 0.08 },
    'subm conv 1024': { must: 2.76, aim: 1.7 },
    'subm conv 192': { must: 1.01, aim: 0.65 },
    'subm conv 96': { must: 3.03, aim: 1.8 },
    'kernel map': { must: 1.36, aim: 0.5 },
    'mesh decoder': { must: 53, aim: 28 },
    'Gaussian decoder': { must: 10, aim: 6.5 },
    'occupancy decoder': { must: 6.4, aim: 3 },
    'image to all outputs': { must: 1600, aim: 1000 },
  },
  webgpu: {
    // 200 TFLOP/s.
    'matmul 4096 x 1024 x 4096': { aim: 0.172 },
    'matmul 8192^3': { aim: 5.5 },
    'structure flow': { aim: 28.4 },
  },
};

/** Figures of a piece of work on a backend. */
export function figuresOf(backend: string, name: FigureName): Figures {
  return { ...ELSEWHERE[name], ...BOUNDS[backend]?.[name] };
}
