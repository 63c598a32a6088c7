<?php
// PHP's streams, read until feof(): fopen_feof.php CA URL...
foreach (array_slice($argv, 2) as $url) {
	$file = fopen($url, "r", false, stream_context_create(["ssl" => ["cafile" => $argv[1]]]));
	while (!feof($file))
		echo fread($file, 700);
	print_r(array_intersect_key(stream_get_meta_data($file), ["eof" => 1, "timed_out" => 1]));
	fclose($file);
}
