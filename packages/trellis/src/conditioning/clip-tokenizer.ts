/**
 * CLIP's tokenizer: text to the fixed number of token ids that the text encoder takes.
 *
 * @see Radford et al., Learning Transferable Visual Models From Natural Language Supervision, arXiv 2103.00020
 */
import { CheckpointError, InputError } from '@pergola/core';
import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { joinLocation } from '../checkpoints/location.ts';
import { readJson } from '../checkpoints/parse-json.ts';

/** Ids that frame a text. */
const START_TOKEN = '<|startoftext|>';
const END_TOKEN = '<|endoftext|>';

/** Tokens per text, the two that frame it included. */
export const CLIP_TOKENS = 77;

const tokenizerFile = z.looseObject({
  model: z.looseObject({ type: z.string().optional(), vocab: z.record(z.string(), z.number()) }),
});

/** Parsed files of a tokenizer, as the Hugging Face format has them. */
export interface TokenizerFiles {
  /** `tokenizer.json`. */
  readonly tokenizer: object;
  /** `tokenizer_config.json`; may be empty. */
  readonly config?: object;
  /** For messages. */
  readonly location: string;
}

/** Text to token ids. */
export class ClipTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #start: number;
  readonly #end: number;

  /** @throws CheckpointError when the files are not those of a CLIP tokenizer. */
  constructor({ tokenizer, config = {}, location }: TokenizerFiles) {
    try {
      this.#tokenizer = new Tokenizer(tokenizer, config);
    } catch (cause) {
      throw new CheckpointError(`${location}: the file does not describe a tokenizer.`, { cause });
    }
    const id = (token: string): number => {
      const found = this.#tokenizer.token_to_id(token);
      if (found !== undefined) return found;
      throw new CheckpointError(`${location}: the vocabulary has no ${token}.`);
    };
    this.#start = id(START_TOKEN);
    this.#end = id(END_TOKEN);
  }

  /**
   * Reads `tokenizer.json` of a folder.
   *
   * @throws CheckpointError when it is missing or not a tokenizer.
   */
  static async open(folder: string): Promise<ClipTokenizer> {
    const location = joinLocation(folder, 'tokenizer.json');
    return new ClipTokenizer({ tokenizer: await readJson(location, tokenizerFile), location });
  }

  /**
   * Encodes a text: start token, at most 75 tokens of the text, end token, and end tokens up to 77.
   *
   * @throws InputError when `text` is no string.
   */
  encode(text: string): number[] {
    if (typeof text !== 'string') {
      throw new InputError(`clipTokenizer: text must be a string, got ${typeof text}.`);
    }
    const content = this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
    const framed = [this.#start, ...content.slice(0, CLIP_TOKENS - 2), this.#end];
    // The encoder was trained with the end token as padding, and without a mask over it.
    const padding = new Array<number>(CLIP_TOKENS - framed.length).fill(this.#end);
    return [...framed, ...padding];
  }
}
