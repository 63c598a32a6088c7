<?php
foreach (array_slice($argv, 2) as $path) {
	$curl = curl_init("http://127.0.0.1:$argv[1]$path");
	curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
	curl_setopt($curl, CURLOPT_HTTPHEADER, ["Connection: close"]);
	echo curl_exec($curl), "\n";
	curl_close($curl);
}
