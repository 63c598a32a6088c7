<?php
foreach (array_slice($argv, 2) as $path)
	echo file_get_contents("http://127.0.0.1:$argv[1]$path"), "\n";
