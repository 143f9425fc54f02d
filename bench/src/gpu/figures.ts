/** What each piece of work takes elsewhere and what it shall take here, in milliseconds on one NVIDIA H200, half precision. */

/** Figures of one piece of work; absent where nobody measured. */
export interface Figures {
  /** The reference implementation, PyTorch eager. */
  readonly eager?: number;
  /** The fastest of the libraries that are made for it. */
  readonly peer?: number;
  /** What Pergola must not exceed. */
  readonly must: number;
  /** What Pergola aims at. */
  readonly aim: number;
}

/** Name of a piece of work that has figures. */
export type FigureName =
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
  | 'image to all outputs';

export const FIGURES: Readonly<Record<FigureName, Figures>> = {
  'structure flow': { eager: 28.4, peer: 12.8, must: 12.8, aim: 9 },
  'latent flow': { eager: 49.3, peer: 43.2, must: 20, aim: 13 },
  'attention h64': { eager: 0.273, peer: 0.167, must: 0.19, aim: 0.14 },
  'attention h80': { eager: 0.387, peer: 0.222, must: 0.26, aim: 0.19 },
  'subm conv 128': { peer: 0.152, must: 0.152, aim: 0.08 },
  'subm conv 1024': { peer: 2.76, must: 2.76, aim: 1.7 },
  'subm conv 192': { peer: 1.01, must: 1.01, aim: 0.65 },
  'subm conv 96': { peer: 3.03, must: 3.03, aim: 1.8 },
  'kernel map': { peer: 1.36, must: 1.36, aim: 0.5 },
  'mesh decoder': { peer: 53.1, must: 53, aim: 28 },
  'Gaussian decoder': { eager: 16, must: 10, aim: 6.5 },
  'occupancy decoder': { eager: 6.4, must: 6.4, aim: 3 },
  'image to all outputs': { eager: 3600, must: 1600, aim: 1000 },
};
