import { afterEach, describe, expect, test } from 'vitest';
import { createSimulation, describeRow, expectReady, scenarios, subjectKey } from './simulation.ts';
import type { Simulation } from './simulation.ts';

const open: Simulation[] = [];
afterEach(() => open.splice(0).forEach(({ world }) => world.close()));

describe('a life without faults', () => {
  test.each(scenarios.map((scenario) => [scenario.title, scenario] as const))('%s', async (_title, scenario) => {
    const simulation = createSimulation({ seed: 1 });
    open.push(simulation);
    const { world, agent, clouds } = simulation;
    const key = subjectKey(scenario);
    try {
      await simulation.prepare(scenario);
      await agent.apply(key, scenario.sample);
      await expectReady(simulation, [key], 600_000);
      const row = agent.row(key)!;
      expect(scenario.matches(clouds, row, row.spec)).toBe(true);
      if (scenario.update !== null) {
        await agent.apply(key, scenario.update);
        await expectReady(simulation, [key], 600_000);
        const row = agent.row(key)!;
        expect(scenario.matches(clouds, row, row.spec)).toBe(true);
      }
      await agent.remove(key);
      expect(await world.until(() => agent.row(key) === null, 600_000)).toBe(true);
      expect(scenario.kind === 'Letter' ? 0 : scenario.objects(clouds, row)).toBe(0);
    } catch (error) {
      console.log(describeRow(agent, key), world.logged().slice(0, 5).join('\n'));
      console.log(
        world
          .effects()
          .slice(-60)
          .map((one) => `${one.n} ${one.at} ${one.worker} ${one.op} ${one.subject} ${one.state}`)
          .join('\n'),
      );
      throw error;
    }
  });
});
