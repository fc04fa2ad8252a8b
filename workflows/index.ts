export { orgSync } from './org.ts';
