<?php
// PHP's streams: file_get_contents.php CA URL...
foreach (array_slice($argv, 2) as $url)
	echo file_get_contents($url, false, stream_context_create(["ssl" => ["cafile" => $argv[1]]]));
