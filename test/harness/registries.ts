import { afterAll, expect } from 'vitest';
import { channels } from '../../connectors/channel.index.ts';
import { connectors } from '../../connectors/index.ts';

/*
 * Read before every test file. Files of one process share their modules: what one adds to a registry and leaves there, the
 * next ones would find. Here it fails the file that left it.
 */
const known = () => [...Object.keys(connectors), ...Object.keys(channels)];
const before = known();
afterAll(() => expect(known(), 'connectors and channels that this file leaves to others').toEqual(before));
