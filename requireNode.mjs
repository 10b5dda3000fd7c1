// Preloaded by every npm script, in syntax that Node 12 already reads, so that a wrong Node says so itself.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `Holdfast needs Node 22.18 or later; this is Node ${process.versions.node}.\n` +
      'The project brings Node 24 with it (devDependency "node"): run "npm ci" without --ignore-scripts,\n' +
      'then use "npm start", "npm test" or "npx holdfast", which put that Node first.',
  );
  process.exit(1);
}
