/**
 * Decides whether what a slow read or load brings back may still be kept. Whoever starts one takes a ticket; `set`,
 * `delete`, `deleteByTag` and `clear` void the tickets of what they touch. A value whose ticket is void is given to its
 * callers and not stored: the mutation came later and wins.
 */
export interface Ticket {
  readonly key: string;
  valid: boolean;
  /** Tags deleted since the ticket was taken. */
  deadTags: Set<string> | undefined;
}

export class ReadTickets {
  readonly #open = new Map<string, Set<Ticket>>();

  take(key: string): Ticket {
    const ticket: Ticket = { key, valid: true, deadTags: undefined };
    const others = this.#open.get(key);
    if (others === undefined) this.#open.set(key, new Set([ticket]));
    else others.add(ticket);
    return ticket;
  }

  giveBack(ticket: Ticket): void {
    const others = this.#open.get(ticket.key);
    others?.delete(ticket);
    if (others?.size === 0) this.#open.delete(ticket.key);
  }

  allows(ticket: Ticket, tags: readonly string[] | undefined): boolean {
    if (!ticket.valid) return false;
    return (
      ticket.deadTags === undefined || tags === undefined || !tags.some((tag) => ticket.deadTags!.has(tag))
    );
  }

  voidKey(key: string): void {
    const tickets = this.#open.get(key);
    if (tickets !== undefined) for (const ticket of tickets) ticket.valid = false;
  }

  voidTag(tag: string): void {
    for (const tickets of this.#open.values()) {
      for (const ticket of tickets) (ticket.deadTags ??= new Set()).add(tag);
    }
  }

  voidAll(): void {
    for (const tickets of this.#open.values()) for (const ticket of tickets) ticket.valid = false;
  }
}
