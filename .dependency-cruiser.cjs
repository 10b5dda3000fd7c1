/**
 * The house rules of docs/architecture.md, held by a machine:
 *
 *   model <- schedule, chain, scope, cost <- repository <- datapath <- azure, catalog, workers, telemetry
 *         <- installation <- sessions <- activities <- orchestrators (names only) <- functions
 *
 * cli, worker, local and bench are programs: they use lib, and nobody imports them.
 */
const LAYERS = [
  ['lib/model'],
  ['lib/schedule', 'lib/chain', 'lib/scope', 'lib/cost'],
  ['lib/repository'],
  ['lib/datapath'],
  ['lib/azure', 'lib/catalog', 'lib/workers', 'lib/telemetry'],
  ['lib/installation'],
  ['lib/sessions'],
  ['activities'],
  ['orchestrators'],
  ['functions'],
];

const upward = LAYERS.slice(0, -1).map((layer, level) => ({
  name: `${layer.join('+').replaceAll('/', '-')}-knows-nothing-above`,
  comment: `${layer.join(', ')} may import only from the layers below it. Declare an interface here and let the upper layer implement it.`,
  severity: 'error',
  from: { path: `^(${layer.join('|')})/` },
  to: {
    path: `^(${LAYERS.slice(level + 1)
      .flat()
      .join('|')})/`,
  },
}));

module.exports = {
  forbidden: [
    ...upward,
    {
      name: 'no-cycle',
      comment:
        'A cycle means that two files are one, or that a third is missing. Types alone are erased, and may go round.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'nobody-imports-a-program',
      comment: 'cli, worker, local and bench are programs. Move what you need to lib.',
      severity: 'error',
      from: { path: '^(lib|activities|orchestrators|functions)/' },
      to: { path: '^(cli|worker|local|bench|test)/' },
    },
    {
      name: 'programs-are-strangers',
      comment: 'One program does not import another.',
      severity: 'error',
      from: { path: '^(cli|worker|local|bench)/' },
      to: { path: '^(cli|worker|local|bench)/', pathNot: '^$1/' },
    },
    {
      name: 'lib-knows-no-functions-host',
      comment: 'lib is the product; Azure Functions is one way to run it.',
      severity: 'error',
      from: { path: '^(lib|worker)/', pathNot: '^lib/telemetry/' },
      to: { path: 'node_modules/(@azure/functions|durable-functions)/' },
    },
    {
      name: 'orchestrators-only-order',
      comment:
        'Orchestrators are replayed: durable-functions, the model, pure decisions and activity names; no I/O, no SDK.',
      severity: 'error',
      from: { path: '^orchestrators/' },
      to: {
        path: '^(node:|node_modules/|lib/|activities/)',
        pathNot: '^(node_modules/durable-functions/|lib/(model|schedule|chain)/|activities/names)',
      },
    },
    {
      name: 'no-node-core-in-orchestrators',
      comment: 'Orchestrators are replayed: nothing of Node.',
      severity: 'error',
      from: { path: '^orchestrators/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'pure-rooms-stay-pure',
      comment: 'model, schedule, chain, scope and cost decide; they touch neither the disk nor the network.',
      severity: 'error',
      from: { path: '^lib/(model|schedule|chain|scope|cost)/' },
      to: { path: '^(node_modules/(@azure|undici|durable-functions))' },
    },
    {
      name: 'pure-rooms-use-no-io',
      comment: 'model, schedule, chain, scope and cost decide; they touch neither the disk nor the network.',
      severity: 'error',
      from: { path: '^lib/(model|schedule|chain|scope|cost)/' },
      to: {
        dependencyTypes: ['core'],
        path: '^(node:)?(fs|net|tls|http|https|child_process|worker_threads|dns)',
      },
    },
    {
      name: 'repository-needs-no-cloud',
      comment: 'The format and its data path work on any store behind their ports.',
      severity: 'error',
      from: { path: '^lib/(repository|datapath)/' },
      to: { path: 'node_modules/@azure/' },
    },
    {
      name: 'not-to-dev-dep',
      comment: 'What ships may not need what is only installed for development.',
      severity: 'error',
      from: { path: '^(lib|activities|orchestrators|functions|worker|cli)/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
    {
      name: 'not-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^@azure/functions-core$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
