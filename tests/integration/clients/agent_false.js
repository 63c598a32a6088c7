const http = require("http");
const [port, ...paths] = process.argv.slice(2);
function next() {
	if (paths.length === 0) return;
	http.get({ host: "127.0.0.1", port, path: paths.shift(), agent: false }, (answer) => {
		const pieces = [];
		answer.on("data", (piece) => pieces.push(piece));
		answer.on("end", () => { console.log(answer.statusCode, Buffer.concat(pieces).toString()); next(); });
	});
}
next();
