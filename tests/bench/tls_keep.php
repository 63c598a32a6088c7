<?php
// The keep-alive of PHP's curl: tls_keep.php CA URL...
$curl = curl_init();
curl_setopt($curl, CURLOPT_CAINFO, $argv[1]);
curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
foreach (array_slice($argv, 2) as $url) {
	curl_setopt($curl, CURLOPT_URL, $url);
	echo curl_exec($curl), curl_error($curl);
}
