{
  "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
  "verificationMaterial": {
    "publicKey": {
      "hint": "87ed8ef3b24320cf4f13249f81d5bd38c3d6bd947dc474c7bbfba79261b18a67"
    },
    "tlogEntries": []
  },
  "dsseEnvelope": {
    "payload": "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEiLCJzdWJqZWN0IjpbeyJuYW1lIjoiZnJhdWQtZ2JkdC92MSIsImRpZ2VzdCI6eyJzaGEyNTYiOiJiOTdiZmJiODgzN2IwZGVlYjczNjEwYjM3YjRmYjAzNmM5MTVlNzJkY2Y3NGU1NWQ5NTQxOGQ0MThjZGVhYzZhIn19XSwicHJlZGljYXRlVHlwZSI6Imh0dHBzOi8vbW9kZWxfc2lnbmluZy9zaWduYXR1cmUvdjEuMCIsInByZWRpY2F0ZSI6eyJzZXJpYWxpemF0aW9uIjp7Im1ldGhvZCI6ImZpbGVzIiwiaGFzaF90eXBlIjoic2hhMjU2IiwiYWxsb3dfc3ltbGlua3MiOmZhbHNlLCJpZ25vcmVfcGF0aHMiOlsibW9kZWwuc2lnIl19LCJyZXNvdXJjZXMiOlt7Im5hbWUiOiJNT0RFTF9DQVJELm1kIiwiYWxnb3JpdGhtIjoic2hhMjU2IiwiZGlnZXN0IjoiZjdkMGQ1MzYzNzlmMDlkOWJhYzg5YWJjYzk2ZGJlODkxMmZkNTg2ODU1OTA5ZDAxNDE4M2JmNjg5MzhhMWJjYSJ9LHsibmFtZSI6ImNhcmQuanNvbiIsImFsZ29yaXRobSI6InNoYTI1NiIsImRpZ2VzdCI6ImFhNGZiM2Y4NWVkM2RjMzM3MjdmNTE1NGYxNzQ5ZmI2OWI4NTAyMzYxZjEzNmY5M2FmYmUwZDU2M2ZjMzM3NjEifSx7Im5hbWUiOiJnb2xkZW4uanNvbiIsImFsZ29yaXRobSI6InNoYTI1NiIsImRpZ2VzdCI6IjAyNzkwZDIyOWViYWYxYmFkZmU4NzY1NjMyOWRlZDczM2RhMTQ3ZmUyM2EwYTIxNTZhMDBlMGJhMWMxOTQ3ZDcifSx7Im5hbWUiOiJtb2RlbC5vbm54IiwiYWxnb3JpdGhtIjoic2hhMjU2IiwiZGlnZXN0IjoiMGUzMjgzZGRiZDAwY2NjYTZlMjMzMWQwNzQ2NDQ0NGIyOTg4MGU4YjI0N2ZlYmIyOTQ3NDE0MWNmODY2OTBiZiJ9XX19",
    "payloadType": "application/vnd.in-toto+json",
    "signatures": [
      {
        "sig": "MEYCIQDXgPmW07td0NklUm9tHO2sYf2h8F/w4oiCZ5FVbrVMkgIhALLBsnS15Qjttot+ELJNvLYZM7rH4+TtGmEvvFJkfduh",
        "keyid": ""
      }
    ]
  }
}
