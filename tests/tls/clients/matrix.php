<?php
// PHP's streams under settings that change: matrix.php FOLDER HOST PORT, with steps on standard input, a line each:
// LABEL|KEY=VALUE;... See matrix.py.
[, $folder, $host, $port] = $argv;
$METHODS = ["1.2" => STREAM_CRYPTO_METHOD_TLSv1_2_CLIENT, "1.3" => STREAM_CRYPTO_METHOD_TLSv1_3_CLIENT];

function options($settings)
{
	global $folder, $METHODS;
	$ssl = ["cafile" => "$folder/" . ($settings["ca"] ?? "ca.pem"), "peer_name" => $settings["name"] ?? "localhost", "capture_peer_cert" => true];
	if (($settings["verify"] ?? "") == "none")
		$ssl["verify_peer"] = $ssl["verify_peer_name"] = false;
	if (($settings["check"] ?? "") == "no")
		$ssl["verify_peer_name"] = false;
	if (isset($settings["self_signed"]))
		$ssl["allow_self_signed"] = true;
	if (isset($settings["depth"]))
		$ssl["verify_depth"] = (int)$settings["depth"];
	if (isset($settings["ciphers"]))
		$ssl["ciphers"] = $settings["ciphers"];
	if (isset($settings["alpn"]))
		$ssl["alpn_protocols"] = $settings["alpn"];
	if (isset($settings["certificate"]))
		[$ssl["local_cert"], $ssl["local_pk"]] = ["$folder/" . $settings["certificate"] . ".pem", "$folder/" . $settings["certificate"] . ".key"];
	if (isset($settings["fingerprint"]))
		$ssl["peer_fingerprint"] = ["sha256" => $settings["fingerprint"]];
	if (isset($settings["only"]))
		$ssl["crypto_method"] = $METHODS[$settings["only"]];
	if (($settings["sni"] ?? "") == "no")
		$ssl["SNI_enabled"] = false;
	if (isset($settings["level"]))
		$ssl["security_level"] = (int)$settings["level"];
	return $ssl;
}

while (($line = fgets(STDIN)) !== false) {
	[$label, $text] = explode("|", rtrim($line, "\n")) + [1 => ""];
	parse_str(str_replace(";", "&", $text), $settings);
	error_clear_last();
	$context = stream_context_create(["ssl" => options($settings)]);
	$stream = @stream_socket_client("ssl://$host:$port", $number, $error, 10, STREAM_CLIENT_CONNECT, $context);
	if (!$stream) {
		echo "$label: ", preg_replace("/\s+/", " ", error_get_last()["message"] ?? ""), " $error\n";
		continue;
	}
	fwrite($stream, "GET /bytes/20 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	$body = substr(strstr(stream_get_contents($stream), "\r\n\r\n"), 4);
	$about = stream_get_meta_data($stream);
	$crypto = $about["crypto"];
	$leaf = stream_context_get_options($stream)["ssl"]["peer_certificate"];
	echo "$label: {$crypto['protocol']}, {$crypto['cipher_name']}, alpn " . ($crypto["alpn_protocol"] ?? "none") . ", leaf ", substr(
		openssl_x509_fingerprint($leaf, "sha256"), 0, 12), ", eof ", var_export($about["eof"], true), "; $body\n";
	fclose($stream);
}
