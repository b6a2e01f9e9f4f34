export { BullMqJobStore } from './bullmq-job-store.ts';
export type { BullMqJobStoreOptions } from './bullmq-job-store.ts';
