<?php
// PHP's curl, a handle for each request: curl.php CA URL...
foreach (array_slice($argv, 2) as $url) {
	$curl = curl_init($url);
	curl_setopt($curl, CURLOPT_CAINFO, $argv[1]);
	curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
	echo curl_exec($curl), curl_error($curl);
	curl_close($curl);
}
