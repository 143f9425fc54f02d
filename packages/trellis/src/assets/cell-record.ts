/** What a mesh decoder predicts for a cell, and at which channel of its row. */

/** `[8]` signed distance of each corner, the x bit of the corner lowest. */
export const DISTANCE_CHANNEL = 0;
/** `[8, 3]` displacement of each corner. */
export const DISPLACEMENT_CHANNEL = 8;
/** `[12 + 8 + 1]` weights of the edges, the corners and the diagonal. */
export const WEIGHT_CHANNEL = 32;
/** `[8, 6]` colour and normal of each corner, in rows that have them. */
export const ATTRIBUTE_CHANNEL = 53;

/** Weights of a cell. */
export const CELL_WEIGHTS: number = ATTRIBUTE_CHANNEL - WEIGHT_CHANNEL;
/** Row length without and with colour and normal. */
export const CHANNELS_PLAIN: number = ATTRIBUTE_CHANNEL;
export const CHANNELS_COLORED: number = ATTRIBUTE_CHANNEL + 8 * 6;
