console.error('The port is taken.');
process.exit(3);
