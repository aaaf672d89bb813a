{
  "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
  "verificationMaterial": {
    "publicKey": {
      "hint": "87ed8ef3b24320cf4f13249f81d5bd38c3d6bd947dc474c7bbfba79261b18a67"
    },
    "tlogEntries": []
  },
  "dsseEnvelope": {
    "payload": "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEiLCJzdWJqZWN0IjpbeyJuYW1lIjoiY2hlc3QteHJheS1wbmV1bW9uaWEvdjEiLCJkaWdlc3QiOnsic2hhMjU2IjoiM2ZjOGYwOTViYzc5ZDQwNjQwMTgyM2M2MWUxNzM5ZWRiM2RlNTE4MTg5MzAzYTI3Mjc4ZjZiYzY3MTRlNmM0NiJ9fV0sInByZWRpY2F0ZVR5cGUiOiJodHRwczovL21vZGVsX3NpZ25pbmcvc2lnbmF0dXJlL3YxLjAiLCJwcmVkaWNhdGUiOnsic2VyaWFsaXphdGlvbiI6eyJtZXRob2QiOiJmaWxlcyIsImhhc2hfdHlwZSI6InNoYTI1NiIsImFsbG93X3N5bWxpbmtzIjpmYWxzZSwiaWdub3JlX3BhdGhzIjpbIm1vZGVsLnNpZyJdfSwicmVzb3VyY2VzIjpbeyJuYW1lIjoiTU9ERUxfQ0FSRC5tZCIsImFsZ29yaXRobSI6InNoYTI1NiIsImRpZ2VzdCI6ImUyZGE5NzVhNTY0M2ZhYmIzM2ZjZTliMDllNmY0MWQ1YTlhN2MwMDZkYTYwNzcxMjJkNmE4YmQ2ZDE4ODEwYjAifSx7Im5hbWUiOiJjYXJkLmpzb24iLCJhbGdvcml0aG0iOiJzaGEyNTYiLCJkaWdlc3QiOiI0OGRlNGY0MmY5Yzk4YTE5MDBkMmYzNTQzYTAyYzQwYjk0ZTk0MzM4OGJmNWI4ODNlMjlkYmQxMDMwMmJhZTU3In0seyJuYW1lIjoibW9kZWwub25ueCIsImFsZ29yaXRobSI6InNoYTI1NiIsImRpZ2VzdCI6IjliZDcwZTBiMGEzOGRmMzEyMDNhZTcyMDNmYjgyNjJkNGM5MzlkNTY1ZGU3MDJkMzliYTNjMTdjNjQxODIzNzEifV19fQ==",
    "payloadType": "application/vnd.in-toto+json",
    "signatures": [
      {
        "sig": "MEUCIEA4GP4iefmfJX5vAP1iYrlbCNvUAfsFvN+wbPoNW8ydAiEAmaOn0j+fBBjBoT3/Jz7nNo7RCBdabtnmsmj/cPVif6Q=",
        "keyid": ""
      }
    ]
  }
}
