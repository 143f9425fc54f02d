/**
 * What comes with the package. In a browser these are URLs below that of the package: right where it is served as it is,
 * while a page that was bundled serves the folders itself and names its own URLs.
 */
import { locationOf } from '#file-source';

// In a variable, or bundlers would take the folder for a file of the page.
const HERE = import.meta.url;

/** Folder of the bundled tiny model set: trained on procedural objects, for trying things out and for tests. */
export const BUNDLED_MODEL: string = locationOf(new URL('../../models/tiny', HERE));

/** Folder of the pictures that the tiny model set was never trained on. */
export const BUNDLED_EXAMPLES: string = locationOf(new URL('../../examples', HERE));
