import { shuffled } from './random.ts';

/**
 * The order of contenders in each round. Rounds come in blocks of as many rounds as there are contenders; a block is a
 * random order and its rotations, so over a block everyone has every place once (whoever runs after a garbage collection
 * or on a cooled-down core is not always the same one), and the order itself changes from block to block.
 */
export function roundOrders(contenders: number, rounds: number, random: () => number): number[][] {
  const places = Array.from({ length: contenders }, (_, index) => index);
  const orders: number[][] = [];
  while (orders.length < rounds) {
    const base = shuffled(places, random);
    for (let turn = 0; turn < contenders && orders.length < rounds; turn += 1) {
      orders.push([...base.slice(turn), ...base.slice(0, turn)]);
    }
  }
  return orders;
}
