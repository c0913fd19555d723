<?php
$apiKey = "cgk_your_api_key";
$baseUrl = "https://cryptogap.com/api/v1";

// Create a payment
$ch = curl_init("$baseUrl/payments");
curl_setopt($ch, CURLOPT_POST, true);
curl_setopt($ch, CURLOPT_HTTPHEADER, [
    "X-API-Key: $apiKey",
    "Content-Type: application/json",
]);
curl_setopt($ch, CURLOPT_POSTFIELDS, json_encode([
    "title" => "Order #1234",
    "amount_usd" => 49.99,
]));
curl_setopt($ch, CURLOPT_RETURNTRANSFER, true);
$payment = json_decode(curl_exec($ch), true)["payment"];

// Redirect customer
header("Location: {$payment['pay_url']}");
echo "Pay URL: {$payment['pay_url']}\n";

// Check if paid
$ch = curl_init("$baseUrl/payments/{$payment['short_code']}");
curl_setopt($ch, CURLOPT_HTTPHEADER, ["X-API-Key: $apiKey"]);
curl_setopt($ch, CURLOPT_RETURNTRANSFER, true);
$status = json_decode(curl_exec($ch), true)["payment"]["status"];
if (in_array($status, ["paid", "overpaid"])) {
    echo "Payment complete!\n";
}
