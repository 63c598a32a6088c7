// An agent that keeps what an answer doesn't say is closed, and requests that ask for close.
const http = require("http");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const paths = process.argv.slice(3);
const bodies = [];
let left = paths.length;

function end(number, body) {
  bodies[number] = body;
  if (--left === 0) {
    console.log(bodies.join("\n"));
    agent.destroy();
  }
}

function get(number) {
  const request = http.get({ host: "127.0.0.1", port: +process.argv[2], path: paths[number], agent, headers: { Connection: "close" } }, answer => {
    const pieces = [];
    answer.on("data", piece => pieces.push(piece));
    answer.on("end", () => end(number, answer.statusCode + " " + Buffer.concat(pieces)));
  });
  request.on("error", error => {
    process.exitCode = 1;
    end(number, error.message);
  });
}

paths.forEach((_, number) => get(number));
