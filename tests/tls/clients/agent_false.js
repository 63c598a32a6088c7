// node, a connection for each request: agent_false.js CA URL...
const https = require("https"), fs = require("fs");
const ca = fs.readFileSync(process.argv[2]);
const next = (urls) => urls.length && https.get(urls[0], { ca, agent: false }, (answer) => {
	answer.on("data", (piece) => process.stdout.write(piece));
	answer.on("end", () => next(urls.slice(1)));
});
next(process.argv.slice(3));
