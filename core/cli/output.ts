/**
 * Where a command's results and messages go. Results go to stdout and nothing else does; messages go to stderr.
 *
 * A closed stdout (`| head`) is not a failure: whoever reads has seen enough. `onClosed` tells the command's runner, which
 * ends it quietly; everything written afterwards is dropped. Colours appear only on a terminal and never with NO_COLOR.
 */

export type Colour = 'red' | 'green' | 'yellow' | 'bold' | 'dim';

export interface Output {
  readonly isTerminal: boolean;
  readonly errorIsTerminal: boolean;
  /** Bytes or text exactly as given. Resolves when more may be written. */
  write(data: string | Uint8Array): Promise<void>;
  line(text: string): Promise<void>;
  /** One JSON object and a newline. */
  json(value: unknown): Promise<void>;
  /** A line on stderr. */
  message(text: string): void;
  /** A line on stderr that the next one replaces; only on a terminal, nothing in a pipe. '' takes it away. */
  progress(text: string): void;
  colour(colour: Colour, text: string): string;
  onClosed(listener: () => void): void;
}

const COLOUR_CODES: Readonly<Record<Colour, string>> = {
  red: '31',
  green: '32',
  yellow: '33',
  bold: '1',
  dim: '2',
};

interface Stream {
  readonly isTTY?: boolean;
  write(data: string | Uint8Array, callback: (error?: Error | null) => void): boolean;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

export function streamOutput(
  stdout: Stream,
  stderr: Stream,
  environment: Readonly<Record<string, string | undefined>>,
): Output {
  const isTerminal = stdout.isTTY === true;
  const errorIsTerminal = stderr.isTTY === true && environment.TERM !== 'dumb';
  const noColour = (environment.NO_COLOR ?? '') !== '' || environment.TERM === 'dumb';
  let closed = false;
  let progressShown = false;
  let closedListener: () => void = () => {};
  stdout.on('error', (error) => {
    if (closed) return;
    closed = true;
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') {
      stderr.write(`bramble: cannot write to stdout: ${error.message}\n`, () => {});
    }
    closedListener();
  });
  // Without stderr there is nobody to tell; the exit code still says it.
  stderr.on('error', () => {});

  async function write(data: string | Uint8Array): Promise<void> {
    if (closed || data.length === 0) return;
    clearProgress();
    await new Promise<void>((resolve) => {
      stdout.write(data, () => resolve());
    });
  }
  function clearProgress(): void {
    if (progressShown) stderr.write('\r\x1b[K', () => {});
    progressShown = false;
  }
  return {
    isTerminal,
    errorIsTerminal,
    write,
    line: (text) => write(`${text}\n`),
    json: (value) => write(`${JSON.stringify(value)}\n`),
    message(text) {
      clearProgress();
      stderr.write(`${text}\n`, () => {});
    },
    progress(text) {
      if (!errorIsTerminal) return;
      clearProgress();
      if (text === '') return;
      stderr.write(text, () => {});
      progressShown = true;
    },
    colour(colour, text) {
      return isTerminal && !noColour ? `\x1b[${COLOUR_CODES[colour]}m${text}\x1b[0m` : text;
    },
    onClosed(listener) {
      closedListener = listener;
      if (closed) listener();
    },
  };
}
