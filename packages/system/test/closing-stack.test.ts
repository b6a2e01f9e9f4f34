import { expect, it } from 'vitest';
import { ClosingStack } from '../src/closing-stack.ts';

it('closes in reverse order, each one after the next is done', async () => {
  const stack = new ClosingStack();
  const closed: string[] = [];
  stack.defer(() => void closed.push('first'));
  stack.defer(async () => {
    await Promise.resolve();
    closed.push('second');
  });
  await stack.close();
  await stack.close();
  expect(closed).toEqual(['second', 'first']);
});

it('closes the others when one fails, and throws what it threw', async () => {
  const stack = new ClosingStack();
  let closed = false;
  const failure = new Error('cannot close');
  stack.defer(() => void (closed = true));
  stack.defer(() => {
    throw failure;
  });
  await expect(stack.close()).rejects.toBe(failure);
  expect(closed).toBe(true);
});

it('throws all failures together when several fail', async () => {
  const stack = new ClosingStack();
  for (const message of ['one', 'two']) stack.defer(() => Promise.reject(new Error(message)));
  await expect(stack.close()).rejects.toMatchObject({ errors: [{ message: 'two' }, { message: 'one' }] });
});

it('closes nothing after it was released', async () => {
  let closed = false;
  {
    await using stack = new ClosingStack();
    stack.defer(() => void (closed = true));
    stack.release();
  }
  expect(closed).toBe(false);
});
