// How memory follows a rollback: the inverse of every change of the open transaction, newest last.
//
// Most changes of a big transaction are new edges, so those are three integers; everything else is a closure.

const NEW_EDGE = 0;
const CLOSURE = 1;

export class UndoLog {
  #steps: number[] = [];
  #closures: (() => void)[] = [];

  /** A place to roll back to. */
  get length(): number {
    return this.#steps.length;
  }

  newEdge(source: number, type: number, target: number): void {
    this.#steps.push(source, type, target, NEW_EDGE);
  }

  add(undo: () => void): void {
    this.#closures.push(undo);
    this.#steps.push(CLOSURE);
  }

  clear(): void {
    this.#steps = [];
    this.#closures = [];
  }

  /** Undoes the newest changes until `length` is what it was. */
  rollbackTo(length: number, removeEdge: (source: number, type: number, target: number) => void): void {
    const steps = this.#steps;
    while (steps.length > length) {
      if (steps.pop() === CLOSURE) {
        this.#closures.pop()!();
      } else {
        const target = steps.pop()!;
        const type = steps.pop()!;
        removeEdge(steps.pop()!, type, target);
      }
    }
  }
}
